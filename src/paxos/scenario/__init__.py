"""What the proving worlds share: clusters, invariants, rules with their mutants, scenario files.

`sim` and `verify` drive the same real classes in two ways. Here is what both speak of, so that what
one finds, the other can play: which nodes there are (`cluster`), what must never happen
(`invariants`), the rules of the algorithm and what becomes of it without each of them (`rules`,
`mutants`), and the text in which a run is written down (`commands`, `transcript`, `words`).
"""
