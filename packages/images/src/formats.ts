/** The formats that are read, as their first bytes tell them apart. */
export const imageFormats = ['jpeg', 'png', 'webp', 'gif', 'avif', 'tiff', 'bmp'] as const
export type ImageFormat = (typeof imageFormats)[number]

const signatures: Array<{ format: ImageFormat; matches: (bytes: Buffer) => boolean }> = [
  { format: 'jpeg', matches: bytes => startsWith(bytes, [0xff, 0xd8, 0xff]) },
  { format: 'png', matches: bytes => startsWith(bytes, [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]) },
  { format: 'gif', matches: bytes => /^GIF8[79]a/.test(bytes.toString('latin1', 0, 6)) },
  { format: 'webp', matches: bytes => /^RIFF....WEBP/s.test(bytes.toString('latin1', 0, 12)) },
  { format: 'tiff', matches: bytes => /^(II[*+]\0|MM\0[*+])/.test(bytes.toString('latin1', 0, 4)) },
  { format: 'bmp', matches: bytes => bytes.toString('latin1', 0, 2) === 'BM' },
  { format: 'avif', matches: isAvif }
]

/** What the first bytes say an image is. The client's content type and file name are not asked. */
export function sniff(bytes: Buffer): ImageFormat | undefined {
  return signatures.find(({ matches }) => matches(bytes))?.format
}

function startsWith(bytes: Buffer, signature: number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte)
}

/** An ISO media file with an AVIF brand, as its own or among those it is compatible with. */
function isAvif(bytes: Buffer): boolean {
  if (bytes.toString('latin1', 4, 8) !== 'ftyp') return false
  const brands = bytes.toString('latin1', 8, Math.min(bytes.readUInt32BE(0), 256))
  return /^(.{4})*avi[fs]/s.test(brands)
}
