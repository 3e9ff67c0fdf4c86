"""How well a caption that lies outside the training captions is told from a known one, on the bundled clips.

    python -m benchmarks.known_captions            # prints, and writes benchmarks/results/known_captions.json

The sentences are about the actions of the `tiny` preset, in other words than its captions, and about others. They were
written before anything was measured; the rule of the threshold (halfway, `text/known_captions.py`) was chosen with
their results in view, so the numbers are a little optimistic.
"""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from motionlab.config import load_config
from motionlab.evaluation.intervals import wilson
from motionlab.jobs.known_actions import open_known_captions, record_known_captions, sentence_vectors
from motionlab.jobs.prepare import prepare
from motionlab.jobs.run_folder import Run

RESULTS = Path(__file__).parent / "results" / "known_captions.json"
KNOWN_KINDS = ("known actions in other words", "known actions, several")
SENTENCES = {
    "known actions in other words": """
a person strolls ahead
a man walks in a straight line
someone is walking
a woman ambles forward slowly
a person steps forward
the person goes forward on foot
someone marches ahead
a person runs
a man sprints
someone is jogging ahead
a person rushes forward at full speed
a girl runs fast
a person jumps
somebody hops forward
a man leaps ahead
a person does a long jump
someone bounds forward with two feet
a person kicks
a man kicks high with his right foot
someone performs a high kick
the person lifts the right leg and kicks
a person kicks with the left foot
a person punches
someone throws a right punch
a man hits with his right fist
a boxer jabs
a person strikes with the left hand
someone throws a series of punches
a person boxes with both fists
a man does a boxing combination
a person does a spinning kick
someone does a jumping spin kick
a person leaps, whirls and kicks in the air
a person does a cartwheel
a gymnast makes a cartwheel to the right
someone turns cartwheels
a person dances
a woman dances and spins around
someone dances a turn to the left
a person sways while dancing
a man dances sideways
somebody twirls in a dance
a person turns left as he walks
someone walks along a curve to the right
a person walks in an arc to the left
a man walks while turning right
a person stands
someone stands without moving
a man stays where he is and waits
a person waits
the person holds still
a person turns around
someone makes an about turn
a man turns around on the spot to the left
a person does a half turn
the person spins around to face the other way
a person keeps the hands up to guard the face
someone holds up the fists
a boxer stands on guard
a person moves around in a boxing guard
""".strip().splitlines(),
    "known actions, several": """
a person walks, then kicks
a man strolls ahead and then jumps
someone runs and jumps
first a person does a kick, then a cartwheel
a person stands, waits and then walks forward
a person turns around and runs back
somebody jumps; after that he throws several punches
a boxer keeps his guard up and jabs
a person walks forward, turns left and kicks
a woman dances, then does a cartwheel
a person runs forward, then stops and stands still
someone punches with the right hand and then with the left hand
a person hops and then sprints ahead
a person turns around to the left and walks
he walks in a curve to the right, then does a high kick
""".strip().splitlines(),
    "unknown actions": """
a person sits down
someone sits on a chair
a person swims
a man is swimming the crawl
a person plays the piano
someone plays the guitar
a person climbs a ladder
a man climbs up a wall
a person lies down on the bed
someone sleeps
a person kneels
a man prays on his knees
a person throws a ball
someone catches a ball
a person dribbles a basketball
a man swings a golf club
a tennis player serves
a person waves with the right hand
someone claps
a person shakes hands
a man bows
a person picks something up from the floor
someone lifts a heavy box
a person pushes a cart
a woman pulls a rope
a person drinks from a cup
someone eats an apple
a person brushes his teeth
a man combs his hair
a person writes on a blackboard
someone reads a book
a person makes a phone call
a person does push-ups
someone does squats
a man does sit-ups
a person stretches the arms
a person crawls on hands and knees
someone rolls on the floor
a person does a backflip
a man falls down
a person stumbles and falls
a person gets up from the ground
someone rides a bicycle
a person rides a horse
a man drives a car
a person rows a boat
a person skates on ice
someone skis downhill
a person sweeps the floor
a woman washes the window
a person cooks soup
a man digs a hole
a person hammers a nail
someone opens a door
a person climbs the stairs
a person hangs from a bar
someone conducts an orchestra
a person points at something
a man salutes
a person hugs somebody
someone scratches his head
a person shoots an arrow
a man juggles
a person coughs
""".strip().splitlines(),
    "half known": """
a person walks, then sits down
a person walks forward and sits down on a chair
someone jumps and then plays the piano
a person kicks, then swims
a man runs, then climbs a ladder
a person stands still and waves
first a person turns around, then the person drinks a cup of tea
a person punches and lies down on the floor
a person dances, then eats an apple, and finally walks forward
somebody does a cartwheel, and afterwards picks up a ball
a person sits down, then walks forward
someone claps his hands and then runs forward
a person rides a bicycle and then jumps forward
the person kicks with the right leg; after that, the person does push-ups
a person turns left while walking, then kneels down
""".strip().splitlines(),
    "no motion": """
the weather is nice today
a red car is parked in front of the house
the cat is on the sofa
two plus two is four
the price of oil rose by three percent
a table with four wooden legs
this is the best pizza in town
please send me the report by Monday
the capital of France is Paris
blue
hello
a mountain in the morning mist
an old book about the history of Rome
the computer is broken
I do not like Mondays
a cup of hot coffee
asdf qwer
the theory of relativity
flowers bloom in spring
an apple
""".strip().splitlines(),
}


def main() -> None:
    """Compare every sentence, and print and keep the shares that are warned of."""
    config = load_config("tiny")
    splits = prepare(config)
    with TemporaryDirectory() as folder:
        run = Run(Path(folder), config)
        record_known_captions(run, splits)
        known, vectors = open_known_captions(run), sentence_vectors(run.text)
        held_out = [text for i in range(len(splits.validation)) for text in splits.validation.captions(i)]
        kinds = {**SENTENCES, "validation captions": held_out}
        least = {
            kind: np.array([min(part.similarity for part in one.parts) for one in known.compare(texts, vectors)])
            for kind, texts in kinds.items()
        }
        threshold = known.threshold
        numbers = {name: known.description[name] for name in ("low", "high", "threshold")}
        del known
    warned = {}
    for kind, values in least.items():
        count = int((values < threshold).sum())
        share = wilson(count, len(values))
        warned[kind] = {"n": len(values), "warned": count, "low": round(share.low, 4), "high": round(share.high, 4)}
        print(f"{kind:<30} {count:>3} of {len(values):>3} warned of ({share.low:.3f} to {share.high:.3f})")
    inside = np.concatenate([least[kind] for kind in KNOWN_KINDS])
    outside = np.concatenate(
        [values for kind, values in least.items() if kind in SENTENCES and kind not in KNOWN_KINDS]
    )
    area = float((inside[:, None] > outside[None]).mean())
    curve = [
        {"threshold": cut, "of known": float((inside < cut).mean()), "of others": float((outside < cut).mean())}
        for cut in (0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8)
    ]
    print(f"area under the ROC curve {area:.4f}, threshold {threshold:.3f}")
    result = {"preset": "tiny", **numbers, "warned": warned, "area_under_curve": round(area, 4), "curve": curve}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
