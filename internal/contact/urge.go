package contact

import (
	"context"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
)

// Urge has the API server find out how far etcd is, by a consistent read at each path, which is of a few objects of one
// kind: only then does it send bookmarks to the watches of a kind in which nothing changes, which would else be silent
// for minutes. The client is one that no Contact hears: these reads say nothing of the watches.
func Urge(ctx context.Context, unheard rest.Interface, paths []string, log logr.Logger) {
	for _, path := range paths {
		if err := unheard.Get().RequestURI(path).Do(ctx).Error(); err != nil && ctx.Err() == nil {
			log.V(1).Info("a watch may fall silent: the API server did not say how far it is", "path", path, "error", err.Error())
		}
	}
}
