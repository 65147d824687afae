export * from './dimensions.ts'
export * from './formats.ts'
