"""Nothing hidden: what each party publishes."""
