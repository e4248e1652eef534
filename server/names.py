"""Names for agents that are created without one."""

import random

ADJECTIVES = """
Amber Bold Brave Bright Brisk Calm Candid Cheerful Clever Cosmic Crimson Curious Daring Eager Early Earnest
Electric Fearless Gentle Glad Golden Graceful Hidden Honest Humble Jolly Keen Kind Lively Lucid Lucky Mellow
Merry Mighty Nimble Noble Patient Playful Polite Proud Quick Quiet Radiant Ready Rapid Serene Silent Silver
Sincere Steady Stellar Sunny Swift Tender Thoughtful Tidy Velvet Vivid Warm Wise Witty Young Zesty
"""
NOUNS = """
Actor Albatross Antelope Badger Beaver Bison Canary Cello Comet Condor Coral Cricket Crow Curlew Dolphin
Dragonfly Eagle Falcon Finch Firefly Fox Gazelle Glacier Harbor Heron Ibex Jaguar Kestrel Kingfisher Lantern
Lark Lemur Lynx Magpie Maple Marmot Meadow Nightingale Ocelot Orchid Oriole Otter Owl Panther Pelican Petrel
Piano Plover Puffin Raven River Robin Seal Sparrow Starling Swallow Tamarin Thrush Violin Walrus Willow Wren
"""


def random_name() -> str:
    """Two words, such as ``GentleOtter``."""
    return "".join(random.choice(words.split()) for words in (ADJECTIVES, NOUNS))  # noqa: S311 - no secret
