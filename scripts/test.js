/** `npm test`: from a bare clone to one summary. With file names as arguments, only those tests. */
import { spawnSync } from 'node:child_process'
import { globSync } from './glob.js'
import { BootstrapError, assertNode, build, installPackages, root, runQuietly, say } from './bootstrap.js'
import { ensureRedis } from './redis.js'
