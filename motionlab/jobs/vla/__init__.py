"""Jobs of the robot half: demonstrations, models, trials in closed loop, report."""
