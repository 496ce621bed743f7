"""A real Postgres server behind the gateway: the common cases, and what is its own."""
import sqlsource
from nxtest import configure, main

dialect = sqlsource.Postgres()
proxies = {}
configure({"http": {"writeTimeout": 2}}, sources=lambda: sqlsource.sources(dialect, proxies))
sqlsource.register(dialect, proxies)

main()
