"""Starting runs: on this machine, again and again until they end; on TPU VMs, Kubernetes and SLURM."""
