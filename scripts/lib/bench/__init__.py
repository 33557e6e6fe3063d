"""The benchmark: `scripts/bench` sets up what it needs, and this measures and writes."""
