"""Where the work runs: supervised processes of this machine, resumed by key, losing nothing."""
