"""Made-up names for users who do not want to show their own: an adjective and a noun, as in apps."""

from __future__ import annotations

from collections.abc import Callable

ADJECTIVES = (
    "Amber Ancient Autumn Bold Brave Bright Brisk Calm Candid Careful Cheerful Clever Copper Crisp Curious Daring"
    " Distant Eager Early Electric Fair Frosty Gentle Glad Golden Grand Happy Hidden Honest Humble Icy Jolly"
    " Keen Kind Lively Lucky Lunar Mellow Merry Misty Modest Nimble Noble Northern Patient Placid Polite Proud"
    " Quick Quiet Rapid Rustic Serene Silent Silver Simple Solar Steady Sunny Tidy Velvet Warm Wild Young"
).split()
NOUNS = (
    "Acorn Anchor Badger Beacon Birch Brook Cedar Cliff Clover Comet Crane Creek Daisy Delta Dune Eagle"
    " Ember Falcon Fern Finch Forest Fox Glacier Grove Harbor Hawk Heron Hill Island Ivy Juniper Kestrel"
    " Lake Lantern Lark Lily Lynx Maple Marsh Meadow Mesa Moon Moss Otter Owl Pebble Pine Plover"
    " Pond Quartz Raven Reef Ridge River Robin Shore Sparrow Spruce Stone Summit Thistle Valley Willow Wren"
).split()
_CHOICES = 64
"""The number of adjectives, and also of nouns, so there are 4,096 names. It is a power of two, so that all names are
equally likely."""


def made_up_name(random: Callable[[int], bytes]) -> str:
    """A name such as ``QuietHarbor``. ``random``: returns the given number of random bytes."""
    first, second = random(2)
    return ADJECTIVES[first % _CHOICES] + NOUNS[second % _CHOICES]
