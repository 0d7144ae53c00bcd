// Package witness has others sign that they have seen the audit log's heads: cosignatures of witnesses, by
// the protocol https://c2sp.org/tlog-witness. A witness signs a head after it was shown that the tree only
// grew. As long as a quorum of witnesses is honest, nobody can be shown another log under the same keys.
//
// Tessera has such a client, but only as a step of its own publishing, which ours does not go through.
package witness
