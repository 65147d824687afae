export * from './store/labels.ts'
export * from './store/manifest.ts'
export * from './store/store.ts'
export * from './store/verify.ts'
