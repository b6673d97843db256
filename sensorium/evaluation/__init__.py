"""How good plans and choices are: data that is read, a planner that is asked, figures that come of it."""
