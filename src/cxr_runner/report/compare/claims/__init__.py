"""The study's claims: what each looks at in a run, the tests of its pairs and rows, and the verdict."""
