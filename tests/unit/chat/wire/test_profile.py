"""Profiles and the pictures in them."""

from __future__ import annotations

import base64

import pytest

from smpchat.chat.errors import InputError
from smpchat.chat.wire.picture import MAX_FILE, MAX_PICTURE, MAX_RECEIVED, Picture, picture_of, picture_uri
from smpchat.chat.wire.preferences import Allow, Feature, Preference
from smpchat.chat.wire.profile import MAX_RECEIVED_NAME, Profile

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
JPEG = b"\xff\xd8\xff\xe0" + bytes(50)
REACTIONS_NO = {Feature.REACTIONS: Preference(Allow.NO)}


def uri(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


class TestProfiles:
    def test_what_we_write_is_read(self) -> None:
        profile = Profile("Ann", "Ann Abel", "climbs", picture_uri(JPEG), REACTIONS_NO)
        assert Profile.from_wire(profile.to_wire()) == profile
        assert profile.to_wire()["shortDescr"] == "climbs"

    def test_what_is_not_there_is_not_written(self) -> None:
        assert Profile("Ann").to_wire() == {"displayName": "Ann", "fullName": "", "preferences": {}}

    def test_the_store_keeps_pictures_apart(self) -> None:
        profile = Profile("Ann", "", "climbs", picture_uri(PNG), REACTIONS_NO)
        assert "data:image" not in profile.to_json()
        assert Profile.from_json(profile.to_json()) == Profile("Ann", "", "climbs", None, REACTIONS_NO)
        assert Profile.from_json('{"displayName": "Ann", "fullName": ""}') == Profile("Ann")

    @pytest.mark.parametrize("said", [None, 5, [], {"a": 1}])
    def test_what_is_malformed_is_left_out(self, said: object) -> None:
        value = {"displayName": "Ann", "fullName": said, "shortDescr": said, "image": said, "preferences": said}
        assert Profile.from_wire(value) == Profile("Ann")

    def test_what_a_peer_says_is_bounded(self) -> None:
        value = {"displayName": "Ann", "shortDescr": "a" * 1000, "image": uri("jpg", JPEG + bytes(MAX_RECEIVED))}
        assert Profile.from_wire(value) == Profile("Ann", "", "a" * 160)
        long = Profile.from_wire({"displayName": "\u0301" * 16_000, "fullName": "b" * 16_000})
        assert long == Profile("\u0301" * MAX_RECEIVED_NAME, "b" * MAX_RECEIVED_NAME)

    def test_neither_picture_nor_key_is_printed(self) -> None:
        assert "data:" not in repr(Profile("Ann", picture=uri("jpg", JPEG)))

    def test_a_description_is_one_short_line(self) -> None:
        assert Profile("Ann").described("  climbs \n a lot ").description == "climbs a lot"
        assert Profile("Ann", "", "old").described("").description == ""
        for text in ("a" * 161, "a\x1bb"):
            with pytest.raises(InputError):
                Profile("Ann").described(text)


class TestPictures:
    @pytest.mark.parametrize(("kind", "data"), [("png", PNG), ("jpg", JPEG)])
    def test_a_file_becomes_what_apps_read(self, kind: str, data: bytes) -> None:
        assert picture_uri(data) == uri(kind, data)
        assert picture_of(picture_uri(data)) == Picture(kind, data)

    def test_the_largest_fits(self) -> None:
        largest = JPEG.ljust(MAX_FILE, b"\0")
        assert MAX_PICTURE - 4 < len(picture_uri(largest)) <= MAX_PICTURE
        with pytest.raises(InputError, match="9,35"):
            picture_uri(largest + b"\0")

    @pytest.mark.parametrize("data", [b"", b"GIF89a", b"<svg/>", b"\xff\xd8", b"RIFF"])
    def test_other_files_are_refused(self, data: bytes) -> None:
        with pytest.raises(InputError, match="JPEG or PNG"):
            picture_uri(data)

    @pytest.mark.parametrize(
        "text",
        [
            "", "data:image/png;base64,", "data:image/svg+xml;base64,PHN2Zy8+", "data:image/jpg;base64,====",
            "data:text/html;base64,/9j/4AAQ", "data:image/jpg;base64,/9j/4AAQ!", "data:image/jpg;base64,/9j/4",
            "data:image/jpg;base64,aGVsbG8=", "https://example.com/a.jpg", "data:image/jpg;base64,/9j/4AAQ\n",
        ],
    )  # fmt: skip
    def test_what_is_no_picture_is_never_saved(self, text: str) -> None:
        with pytest.raises(InputError):
            picture_of(text)

    def test_the_first_bytes_say_what_it_is(self) -> None:
        assert picture_of(uri("jpg", PNG)).kind == "png"
        assert picture_of(uri("jpeg", JPEG)).kind == "jpg"
