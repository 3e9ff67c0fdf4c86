"""The text-motion evaluator: two encoders whose embeddings are near each other when a caption fits a motion.

| module | does |
|---|---|
| `inputs.py` | joints as the motion encoder sees them: no place, no heading, speeds over the ground |
| `meaning.py` | which captions say the same, and so are no rivals |
| `spoiled.py` | spoiled copies of motions, to learn from what a good motion looks like; harmless changes |
| `model.py` | the two encoders |
| `batches.py` | clips in batches of like length, each with one of its captions |
| `losses.py` | the contrastive loss |
| `train.py` | the training, with its early stop |
| `evaluator.py` | `TextMotionEvaluator`: embed, save, load |
| `protocol.py` | the table of scores: R-precision, MM distance, FID, diversity, multimodality |
| `published.py` | an evaluator of MotionStreamer or MotionMillion from a local folder |
"""
