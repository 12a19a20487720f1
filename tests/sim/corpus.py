"""Seeds that are run on every change, and why.

`NAMED` are those that turned red in earlier hunts, with what it was. A change of the simulator
gives every seed another history, so each of these mistakes is also planted again by
`faults.FOUND`; the seeds stay because they were fruitful.
"""

from __future__ import annotations

NAMED = {
    5: "a worker with fewer slots than its queue took more than the queue had left",
    7: "a settlement whose own verb was refused barred every other settlement of its worker",
    9: "a task that cost more than claimer.batch was never claimed, and all behind it neither",
    11: "claims that were not heard stayed hidden behind those that were known",
    22: "an id that was stored was refused for its unique key, which another task held",
    108: "unheard claims were given back in part, and the next claim forgot the rest",
}

FIXED = (*sorted(NAMED), *range(200, 216))
# So many more are run each time, chosen afresh and printed.
FRESH = 3
