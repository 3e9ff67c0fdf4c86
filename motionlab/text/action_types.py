"""Kinds of actions in captions: a small table from English words to categories.

Derivation: the categories are those that text-to-motion data sets report (locomotion, dance, sport, martial arts,
fitness, daily life ...); under each stand the base forms of verbs and nouns that name such an action. A word of a
caption is brought to its base form by rules (-s, -ing, -ed, doubled consonants) and a list of irregular forms, then
looked up. A caption counts for every category of which it holds a word, so shares may add up to more than 1. No model
is asked, and a word that can mean two things is in the category where motion captions use it most ("box" is a fight,
not a crate).
"""

from __future__ import annotations

import re
from functools import cache

CATEGORIES: dict[str, str] = {
    "locomotion": "walk run jog sprint step stride march stroll wander crawl creep climb tiptoe limp stumble shuffle "
    "pace approach retreat skip gallop hike wade advance strut swagger stagger",
    "turning": "turn spin rotate pivot twirl circle swivel revolve",
    "jumping": "jump hop leap bounce vault backflip frontflip flip somersault cartwheel handstand handspring",
    "posture": "stand sit kneel crouch squat bend lean bow lie rise stoop hunch recline slouch rest wait pose balance",
    "falling": "fall collapse trip tumble roll slip drop faint topple",
    "dance": "dance waltz ballet salsa samba breakdance groove sway pirouette twerk choreography hiphop tango",
    "martial arts": "punch kick box jab hook uppercut block dodge fight strike parry karate kungfu judo taekwondo "
    "guard spar duel fend wrestle sword",
    "sport": "throw catch pitch bat golf tennis basketball football soccer dribble serve swim row ski skate surf bowl "
    "volleyball badminton shoot racket skateboard cricket baseball hurdle",
    "fitness": "stretch exercise workout pushup situp lunge plank burpee yoga jack crunch deadlift warm pilates "
    "aerobics",
    "gesture": "wave point clap nod shake salute beckon gesture shrug bless greet signal applaud",
    "handling": "pick lift carry push pull place put hold grab reach open close move pour stack hand take give drag "
    "load wipe wash clean sweep paint cook stir cut drink eat type write read",
    "performance": "play sing act mime perform juggle conduct guitar piano violin drum flute instrument",
    "social": "hug kiss embrace talk speak chat handshake argue comfort",
}
_IRREGULAR = {
    "ran": "run", "sat": "sit", "stood": "stand", "lay": "lie", "lying": "lie", "lies": "lie", "fell": "fall",
    "fallen": "fall", "threw": "throw", "thrown": "throw", "caught": "catch", "took": "take", "taken": "take",
    "held": "hold", "bent": "bend", "knelt": "kneel", "leapt": "leap", "swam": "swim", "rose": "rise", "risen": "rise",
    "fought": "fight", "gave": "give", "given": "give", "crept": "creep", "swept": "sweep", "ate": "eat",
    "drank": "drink", "wrote": "write", "spoke": "speak", "sang": "sing", "struck": "strike", "shook": "shake",
    "spun": "spin", "shot": "shoot",
}  # fmt: skip
_WORD = re.compile(r"[a-z]+")
_LOOKUP = {word: name for name, words in CATEGORIES.items() for word in words.split()}


def words_of(caption: str) -> list[str]:
    """The words of a caption in lower case; hyphens join ("push-up" is one word).

    >>> words_of("A man does 3 push-ups.")
    ['a', 'man', 'does', 'pushups']
    """
    return _WORD.findall(caption.lower().replace("-", ""))


def action_types(caption: str) -> set[str]:
    """The categories of which a caption holds a word.

    >>> sorted(action_types("a person walks forward, then is kicking twice"))
    ['locomotion', 'martial arts']
    >>> action_types("someone does something")
    set()
    """
    return {name for word in words_of(caption) if (name := _category(word)) is not None}


@cache
def _category(word: str) -> str | None:
    return next((_LOOKUP[base] for base in _bases(word) if base in _LOOKUP), None)


def _bases(word: str) -> list[str]:
    """Possible base forms of a word, the word itself first.

    >>> _bases("stepping"), _bases("waves")
    (['stepping', 'stepp', 'steppe', 'step'], ['waves', 'wave', 'wav'])
    """
    found = [word]
    if word in _IRREGULAR:
        return [word, _IRREGULAR[word]]
    for ending in ("ing", "ed", "er"):
        stem = word.removesuffix(ending)
        if stem != word and len(stem) > 2:
            found += [stem, f"{stem}e"]
            if stem[-1] == stem[-2]:
                found.append(stem[:-1])
            if stem[-1] == "i":
                found.append(f"{stem[:-1]}y")
    if word.endswith("s") and len(word) > 3:
        found.append(word[:-1])
        if word.endswith("es"):
            found.append(word[:-2])
        if word.endswith("ies"):
            found.append(f"{word[:-3]}y")
    return found
