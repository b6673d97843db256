"""What was recognised, as one sentence that claims no more than the network does."""

from __future__ import annotations

from typing import TypedDict

MOST_NAMED = 3
"""Labels in a caption."""
WORTH_NAMING = 0.05
"""Probability that a label needs for its place in a caption; the best label has one in any case."""
SURE = 0.3
"""Best probability under which a caption begins with "perhaps"."""
NEAR = 0.55
"""Cosine to the picture's vector from which an everyday word is worth saying."""


class Label(TypedDict):
    """One of ImageNet's classes and its probability."""

    label: str
    score: float


def caption(labels: list[Label], word: str, cosine: float) -> str:
    """Such as "Egyptian cat (0.77), tiger cat (0.10); nearest everyday word: cat".

    Args:
        labels: Best first.
        word: The everyday word that is nearest to the picture.
        cosine: How near it is.
    """
    named = [each for each in labels[:MOST_NAMED] if each["score"] >= WORTH_NAMING] or labels[:1]
    text = ", ".join(f"{each['label']} ({each['score']:.2f})" for each in named)
    doubt = "" if labels[0]["score"] >= SURE else "perhaps "
    says_more = cosine >= NEAR and word != labels[0]["label"]
    return f"{doubt}{text}; nearest everyday word: {word}" if says_more else f"{doubt}{text}"
