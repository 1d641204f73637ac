"""A search over configurations: Optuna proposes trials, rounds of runs measure them, a journal keeps what came out."""
