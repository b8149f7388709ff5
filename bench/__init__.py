"""What can the service do, in numbers? The benchmarks behind every figure in the README."""
