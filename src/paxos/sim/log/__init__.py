"""The simulated world of a log: servers, clients and an administrator, and all that can go wrong.

A server is what a user runs: the machine of a log, its store on a simulated disk, and a replicated
store of keys and values. `plan` draws a run from a seed, `run` lets it happen, `witness` and
`ledger` judge each effect, `healing` demands progress once the faults have ended, and `outcome`
puts it all together and checks what the clients saw.
"""
