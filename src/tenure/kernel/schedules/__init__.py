"""When a schedule fires: pure arithmetic from a rule, a time zone and policies to instants."""
