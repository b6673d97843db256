"""What a voice should say for a written text: no mark-up, no control characters, symbols as words.

Language models answer in Markdown; its marks are for the eye. Everything that is left out or put differently here is
listed in the README.
"""

from __future__ import annotations

import html
import re
import unicodedata

__all__ = ["has_words", "named_symbols", "plain", "without_markup"]

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COMPATIBLE = re.compile(r"[\u2160-\u217f\u2460-\u249b\ufb00-\ufb06\uff01-\uff5e]+")
_TIMES = re.compile(r"(?<=\d)\s*[*×]\s*(?=\d)")
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_RULE = re.compile(r"^[ \t]*([-*_=])([ \t]*\1){2,}[ \t]*$", re.M)
_TABLE_RULE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*(\|[ \t]*:?-*:?[ \t]*)*$", re.M)
_TABLE_ROW = re.compile(r"^[ \t]*\|(.+)\|[ \t]*$", re.M)
_HEADING = re.compile(r"^[ \t]*#{1,6}[ \t]+(.*?)[ \t#]*$", re.M)
_LIST_MARK = re.compile(r"^[ \t]*[-*+•‣▪][ \t]+(?:\[[ xX]\][ \t]+)?", re.M)
_NUMBERED = re.compile(r"^[ \t]*(\d{1,3})[.)][ \t]+", re.M)
_QUOTED = re.compile(r"^[ \t]*(?:>[ \t]?)+", re.M)
_IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]+)>")
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>|<!--.*?-->", re.S)
_CODE = re.compile(r"`+([^`\n]+)`+")
_STRONG = re.compile(r"(\*{1,3}|~~)(?=\S)([^*\n]*?\S)\1|(?<!\w)(_{1,3})(?=\S)([^_\n]*?\S)\3(?!\w)")
_URL = re.compile(r"(?:https?|ftp)://(?:www\.)?([\w.-]+)(\S*)|\bwww\.([\w.-]+)(\S*)")
_MAIL = re.compile(r"(?:mailto:)?\b([\w.+-]+)@([\w-]+(?:\.[\w-]+)+)")
_ENDS = re.compile(r"[.!?:;…,][\"'”’)\]]*$")
_SPACES = re.compile(r"[^\S\n]+")

_WORDS = {
    "≤": " is at most ", "≥": " is at least ", "≠": " is not equal to ", "≈": " is about ", "√": " the square root of ",
    "∞": " infinity ", "∑": " the sum of ", "∫": " the integral of ", "∈": " in ", "⇒": " implies ", "←": " from ",
    "→": " to ", "↔": " to and from ", "✓": " check ", "✔": " check ", "✗": " cross ", "✘": " cross ", "§": " section ",
    "©": " copyright ", "|": ", ", "‖": ", ", "_": " ", "«": "“", "»": "”", "￼": " ",
}  # fmt: skip
_SAID = frozenset(".,;:!?…—–-‒―'\"“”‘’„‚()[]{}<>/\\&@%#*+=~^$£€¥₹₩¢°²³·±×÷½⅓¼¾™®№`")
_GREEK = re.compile(r"(?<![\u0370-\u03ff])[\u0391-\u03a9\u03b1-\u03c9](?![\u0370-\u03ff])")


def without_markup(text: str) -> str:
    """`text` without Markdown and HTML: what they mark stays, addresses are said as their host."""
    text = _ESCAPE.sub("", unicodedata.normalize("NFC", text))
    text = _COMPATIBLE.sub(lambda form: unicodedata.normalize("NFKC", form[0]), text)
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text = _FENCE.sub(_code_block, text)
    text = _TABLE_RULE.sub("", _RULE.sub("", text))
    text = _TABLE_ROW.sub(lambda row: _sentence(", ".join(cell.strip() for cell in row[1].split("|"))), text)
    text = _QUOTED.sub("", text)
    text = _HEADING.sub(lambda heading: f"\n{_sentence(heading[1])}\n", text)
    text = _LIST_MARK.sub("", text)
    text = _NUMBERED.sub(r"\1: ", text)
    text = _AUTOLINK.sub(r" \1 ", text)
    text = _IMAGE.sub(lambda image: f"Picture: {image[1]}." if image[1].strip() else "A picture.", text)
    text = html.unescape(_TAG.sub(" ", _LINK.sub(r"\1", text)))
    for _ in range(2):  # bold within italics, or the other way round
        text = _STRONG.sub(lambda strong: strong[2] or strong[4], text)
    text = _CODE.sub(r"\1", text)
    text = _MAIL.sub(_mail, _URL.sub(_url, _TIMES.sub(" times ", text)))
    return _GREEK.sub(lambda letter: f" {unicodedata.name(letter[0]).split()[-1].lower()} ", text)


def plain(text: str) -> str:
    """`text` without control characters and with symbols as words: one paragraph a line."""
    lines = (_SPACES.sub(" ", line).strip() for line in _characters(text).split("\n"))
    return "\n".join(line for line in lines if has_words(line))


def has_words(text: str) -> bool:
    """Whether anything in `text` can be said: a letter, a digit, or a sign with a reading of its own."""
    return any(character.isalnum() or character in "%&@$£€¥₹₩¢°±×÷" for character in text)


def named_symbols(text: str) -> str:
    """The Unicode names of the symbols in `text`, for a text that holds nothing else, such as a lone emoji."""
    names = (unicodedata.name(character, "") for character in text if unicodedata.category(character) == "So")
    return ", ".join(name.lower() for name in names if name)


def _code_block(block: re.Match[str]) -> str:
    num_lines = len(block[2].splitlines())
    return f"\nA block of code, {num_lines} {'line' if num_lines == 1 else 'lines'}.\n"


def _sentence(text: str) -> str:
    text = text.strip(" ,")
    return text if not text or _ENDS.search(text) else f"{text}."


def _url(url: re.Match[str]) -> str:
    host, rest = url[1] or url[3], url[2] if url[1] else url[4]
    tail = re.search(r"[.,;:!?)\]}>\"'”’]*$", host + rest)
    return host.rstrip(".").replace(".", " dot ").replace("-", " dash ") + (tail[0] if tail else "")


def _mail(mail: re.Match[str]) -> str:
    return f"{mail[1]} at {mail[2]}".replace(".", " dot ")


def _characters(text: str) -> str:
    return "".join(map(_character, text))


def _character(character: str) -> str:
    if character in "\n \u00a0":
        return character
    if character in _WORDS:
        return _WORDS[character]
    if character.isalnum() or character in _SAID or unicodedata.category(character) in ("Mn", "Mc"):
        return character
    return "" if unicodedata.category(character) in ("Cf", "Cs", "Co", "Cn") else " "
