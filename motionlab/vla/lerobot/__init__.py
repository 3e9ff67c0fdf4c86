"""Demonstrations as LeRobot keeps them (version 3 of its data sets), in and out; needs the extra lerobot."""
