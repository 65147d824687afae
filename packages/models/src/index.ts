export * from './manifest.ts'
export * from './store.ts'
