"""What operators see and steer: log, figures, health, and what the admin API asks."""
