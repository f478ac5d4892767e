"""The HTTP service without Ray: what is asked and answered, and the parts that answer.

`create_app` (`api`) needs a `Backend` (`backend`), which is either in this process or, in
`raydance.cluster.serve`, a set of Ray Serve deployments.
"""
