package plugin

import (
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// parseSelector reads a selector of labels as kubectl does.
func parseSelector(text string) (client.ListOption, error) {
	selector, err := labels.Parse(text)
	if err != nil {
		return nil, err
	}
	return client.MatchingLabelsSelector{Selector: selector}, nil
}
