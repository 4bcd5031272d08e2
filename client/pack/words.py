"""What a study's papers say in every hospital alike."""

RETENTION = (
    ("images and manifest", "this hospital", "as the hospital keeps them; nothing is copied out"),
    (
        "cache of activations (computed from images; not readable as images, yet personal data "
        "like them)",
        "this hospital, in the cache folder",
        "until deleted; it may be deleted at any time and is computed anew",
    ),
    (
        "outbox: the replies themselves",
        "this hospital, in the state folder",
        "until the run's next round confirms that they arrived",
    ),
    (
        "egress log: a line for each reply, with what it told",
        "this hospital, in the state folder",
        "for ever; it is the evidence of what left",
    ),
    (
        "updates of single sites",
        "the coordinator, in memory",
        "until they are added up; Flower's own database holds messages until the run takes them",
    ),
    (
        "counts of each site (census, evaluation), record and checkpoints of the run",
        "the coordinator",
        "with the run's folder, as the coordinator keeps it",
    ),
    (
        "released model",
        "the coordinator and whoever receives it",
        "as the parties agree; it cannot be called back",
    ),
)
"""What is kept, where, and how long."""

MEASURES = (
    "Installed as its manual says, the process that reads images (the worker) has no network; the "
    "process that has the network (the carrier) is another user's, who can read neither images nor "
    "the site's records.",
    "The worker takes requests and studies only with the coordinator's signature (Ed25519), and "
    "works for approved studies only, by the SHA-256 of all their settings.",
    "Everything that leaves passes one gate, which holds it against the study and against this "
    "hospital's limits, and is written to a chained log before it is sent.",
    "Each step of a run is answered once. A study can be withdrawn at once; its work then stops, "
    "and nothing of it leaves.",
    "The site only dials out. The way to the coordinator is encrypted (TLS) and authenticated at "
    "both ends: the coordinator by a certificate of the federation, the site by its own key.",
    "Code that was not installed at the hospital is refused (import guard).",
    "Nothing is fetched or reported to anyone else while it runs.",
)
"""Technical and organisational measures of the software."""

BLANKS = (
    ("Controller at this hospital", 1),
    ("Data-protection officer", 1),
    ("Role of the coordinator (controller, joint controller, processor), and contract", 2),
    ("Purpose, in the hospital's own words", 2),
    ("Legal basis (for example Art. 6 and Art. 9(2) GDPR, national law)", 2),
    ("Consent, waiver, or ethics vote: number and date", 1),
    ("How patients are informed, and how an objection is honoured", 2),
    ("Transfer to a third country (where coordinator and other hospitals are)", 1),
    ("Until when the images may be used", 1),
    ("Impact assessment: needed, where it is", 1),
)
"""What only the hospital can fill in, and for how many lines of handwriting."""

GLOSSARY = (
    ("activations", "what a frozen network makes of an image on its way through; numbers"),
    ("carrier", "the process that connects to the coordinator and passes sealed requests on"),
    ("coordinator", "who runs the study, adds up what hospitals send, and releases the model"),
    ("differential privacy, epsilon", "noise with a proven bound on what one person's data can "
     "change in a result; epsilon is the bound"),
    ("digest", "a short number computed from a file or study; another content has another one"),
    ("exchange", "one question to every site, and its answers"),
    ("federation", "the coordinator and its hospitals"),
    ("gradient, update, difference", "what training would change, or has changed, in the model"),
    ("group", "images that belong together, such as those of one patient; never split apart"),
    ("run", "one execution of a study, from census to release"),
    ("site", "a hospital taking part"),
    ("study", "one federated experiment: all its settings in one file, known by its digest"),
    ("worker", "the process that reads images; it has no network"),
)  # fmt: skip
"""The words of the page."""
