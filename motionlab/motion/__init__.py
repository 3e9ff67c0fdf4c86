"""Motions: skeleton, rotations, the 272 features, Motion, mirror/resample/crop, file formats."""
