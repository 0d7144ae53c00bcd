// Verifies a passport with nothing but the issuer's published keys, and prints its claims as JSON.
//
//   node verify.mjs JWKS-URL AUDIENCE ISSUER < token
import { text } from 'node:stream/consumers'
import { createRemoteJWKSet, jwtVerify } from 'jose'

const [jwksURL, audience, issuer] = process.argv.slice(2)
const token = (await text(process.stdin)).trim()

try {
  const { payload } = await jwtVerify(token, createRemoteJWKSet(new URL(jwksURL)), {
    algorithms: ['EdDSA'],
    typ: 'passport+jwt',
    audience,
    issuer,
    requiredClaims: ['sub', 'exp', 'nbf', 'iat', 'jti'],
  })
  console.log(JSON.stringify(payload))
} catch (error) {
  // The code alone: a message may hold claims.
  console.error(`refused: ${error.code ?? error}`)
  process.exitCode = 1
}
