"""Numbers and sizes of replicas: demand, the autoscaling policy, capacity and recommendations."""
