#!/bin/sh
# A bot for FRIENDS, by contact_id of `--json contacts`: FRIENDS="1 4" smpchat listen --skip-after 3 --exec ./bot.sh
case " $FRIENDS " in
    *" $SMPCHAT_CONTACT_ID "*) ;;
    *) exit 0 ;; # someone else; not decided by the alias, because contacts can choose it
esac
[ "$SMPCHAT_CONTENT" = text ] || exit 0 # a picture, a call and so on

answer() {
    case $SMPCHAT_TEXT in
        date) date ;;
        disk) df -h / ;;
        "say "*) printf '%s\n' "${SMPCHAT_TEXT#say }" ;;
        *) echo "I know: date, disk, say TEXT" ;;
    esac
}

# the answer goes through a pipe: if it were an argument and began with -, it would be read as an option
answer | smpchat -q reply "$SMPCHAT_ID" - --wait none >/dev/null || echo "no answer to $SMPCHAT_ID" >&2
exit 0 # otherwise the bot would stop here, and get this message again at its next start
