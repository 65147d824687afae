// What app.ts and its plugins add to Fastify's types, for tests that import less than all of it.
import '../src/app.ts'
