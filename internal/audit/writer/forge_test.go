package writer_test

import (
	"bytes"
	"testing"

	"github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// forge is a head of a tree that does not exist, rightly signed.
func forge(t testing.TB, private keys.Private, epoch, size uint64) []byte {
	t.Helper()
	text := log.Checkpoint{
		Origin: keys.Origin(private.Name(), epoch), Size: size, Hash: bytes.Repeat([]byte{7}, 32),
	}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, private.Signer(epoch))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// signHead is a head of epoch 1, signed with some key.
func signHead(t testing.TB, private keys.Private, head tlog.Head) []byte {
	t.Helper()
	text := log.Checkpoint{Origin: keys.Origin(private.Name(), 1), Size: head.Size, Hash: head.Root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, private.Signer(1))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}
