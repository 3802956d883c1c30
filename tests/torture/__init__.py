"""Campaigns that attack what unspool promises; docs/security.md holds their results. `make torture` runs them for long."""
