"""The systems under test. FlowFabric is one of them and is given no other treatment."""
