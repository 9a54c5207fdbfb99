"""Games from machines of others: `selfplay serve` hands out jobs and takes batches, `selfplay contribute` plays.

protocol.py   the messages, and where they go
ledger.py     who contributes, who is at which games: knows no network, no files, no clock
checks.py     plays contributed games again, in a process beside
host.py       one run that takes contributions: joins ledger, checks and the run's folder
server.py     the host over HTTP
client.py     the other end
"""
