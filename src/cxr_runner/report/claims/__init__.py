"""The study's claims: as stated, what each looks at in a run, how sure that is, and the verdict."""
