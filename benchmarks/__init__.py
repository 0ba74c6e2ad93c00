"""What dfg costs: seconds to a plan, microseconds a call, bytes a run. `python -m benchmarks` lists the benchmarks; results lie in `benchmarks/results`."""
