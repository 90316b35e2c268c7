"""A stand-in for an organisation's Windows machines: smbd, a Task Scheduler, DNS and a network, in namespaces."""
