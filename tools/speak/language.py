"""Whether a text is English, told by its script and by the small words that every language repeats."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path

__all__ = ["foreign_language", "mark_foreign"]

_MOST_FOREIGN = 0.3
"""Share of a text's words that may be in another script; a text with more is refused."""
_FEW_WORDS = 0.12
"""Share of a text's words that are small words of a language, from which on the text is taken to be in it."""
_CHANCE = 0.15
"""Share of words that no English dictionary has, up to which small words of another language are taken for chance."""
_ENOUGH_WORDS = 4
"""Fewer words are too few to call a text foreign only because no dictionary has them."""

_SOME_OTHER = "a language other than English"
_LETTERS_A_WORD = {"CJK": 1.5, "HIRAGANA": 2.5, "KATAKANA": 2.5, "HANGUL": 2.5, "THAI": 4.5}
"""Scripts that put no space between words, or few letters into one."""
_SCRIPTS = {
    "CJK": "Chinese",
    "HIRAGANA": "Japanese",
    "KATAKANA": "Japanese",
    "HANGUL": "Korean",
    "CYRILLIC": "Russian or another language in Cyrillic script",
    "ARABIC": "Arabic or another language in Arabic script",
    "HEBREW": "Hebrew",
    "DEVANAGARI": "Hindi or another language in Devanagari script",
    "GREEK": "Greek",
    "THAI": "Thai",
    "ARMENIAN": "Armenian",
    "GEORGIAN": "Georgian",
    "BENGALI": "Bengali",
    "TAMIL": "Tamil",
    "TELUGU": "Telugu",
    "KHMER": "Khmer",
    "LAO": "Lao",
    "TIBETAN": "Tibetan",
    "ETHIOPIC": "Amharic or another language in Ethiopic script",
}
_LIKE_LATIN = frozenset(
    ("MICRO", "FEMININE", "MASCULINE", "MODIFIER", "KELVIN", "ANGSTROM", "FULLWIDTH", "SUPERSCRIPT")
)
_LINES = (Path(__file__).parent / "small_words.txt").read_text(encoding="utf-8").splitlines()
_BY_LANGUAGE = {
    language: frozenset(words.split())
    for language, _, words in (line.partition(": ") for line in _LINES if not line.startswith("#"))
}
_RUN = re.compile(r"[^\W\d_a-zA-Z][^\W\d_]*(?:[\s,、。]+[^\W\d_a-zA-Z][^\W\d_]*)*")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def foreign_language(text: str, is_english_word: Callable[[str], bool] = lambda _: True) -> str | None:
    """The language that `text` is in, for people; None where it is English or too short to be told from it.

    Args:
        text: What is to be said.
        is_english_word: Whether a word, in small letters, stands in an English dictionary.
    """
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    scripts = Counter(_script(letter) for word in words for letter in word if letter != "'")
    shares = Counter({script: count / _LETTERS_A_WORD.get(script, 5.0) for script, count in scripts.items()})
    others = Counter({script: share for script, share in shares.items() if script != "LATIN"})
    if others.total() > _MOST_FOREIGN * shares.total():
        return _of_script(others)
    return _latin_language([word for word in words if _script(word[0]) == "LATIN"], is_english_word)


def mark_foreign(text: str) -> str:
    """`text` with each run of another script said as what it is, such as `some Chinese`."""
    return _RUN.sub(lambda run: run[0] if _is_ours(run[0][0]) else f" some {_short(_script(run[0][0]))} ", text)


def _of_script(shares: Counter[str]) -> str:
    if shares["HIRAGANA"] + shares["KATAKANA"] > 0.1 * shares["CJK"]:
        return "Japanese"
    script = shares.most_common(1)[0][0]
    return _SCRIPTS.get(script, f"a language in {script.capitalize()} script")


def _latin_language(words: list[str], is_english_word: Callable[[str], bool]) -> str | None:
    counts = {language: sum(word in small for word in words) for language, small in _BY_LANGUAGE.items()}
    english = counts.pop("English")
    language = max(counts, key=counts.__getitem__)
    unknown = [word for word in words if not is_english_word(word)]
    evidence = counts[language] + sum(not word.isascii() for word in unknown)
    if evidence > english and evidence >= _FEW_WORDS * len(words) and len(unknown) > _CHANCE * len(words):
        return language if counts[language] else _SOME_OTHER
    long_words = [word for word in words if len(word) > 2]
    num_unknown = sum(word in unknown for word in long_words)
    if len(long_words) >= _ENOUGH_WORDS and english < _FEW_WORDS * len(words) and 2 * num_unknown > len(long_words):
        return _SOME_OTHER
    return None


def _is_ours(character: str) -> bool:
    return not character.isalpha() or _script(character) == "LATIN"


def _short(script: str) -> str:
    return _SCRIPTS.get(script, f"{script.capitalize()} script").split(" or ")[0]


def _script(letter: str) -> str:
    script = unicodedata.name(letter, "UNKNOWN").split()[0].split("-")[0]
    return "LATIN" if script in _LIKE_LATIN else script
