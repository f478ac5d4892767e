"""The HTTP service without Ray: what is asked and answered, and the parts that answer.

`create_app` (`app`) and `create_task_app` (`task_app`) need a `Backend` (`backend`), which is
either in this process or, in `raydance.cluster.serve`, a set of Ray Serve deployments.
"""
