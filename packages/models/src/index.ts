export * from './manifest.ts'
export * from './store.ts'
export * from './verify.ts'
