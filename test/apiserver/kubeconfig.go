package apiserver

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// tokenLife is how long the token of a ServiceAccount is good for, in seconds: longer than any suite.
const tokenLife = int64(2 * 60 * 60)

// Token asks the API server for a token of a ServiceAccount, as the kubelet does for a Pod. Without
// audiences it is for the API server.
func (s *Server) Token(ctx context.Context, namespace, serviceAccount string, audiences ...string) (string, error) {
	life := tokenLife
	request := &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life, Audiences: audiences},
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: serviceAccount}}
	err := s.Admin().SubResource("token").Create(ctx, account, request)
	return request.Status.Token, err
}

// AdminKubeconfig is the path of a kubeconfig of an administrator. It is there until the server stops.
func (s *Server) AdminKubeconfig() string { return s.kubeconfig }

// ManagerKubeconfig writes a kubeconfig whose only credential is a token of the manager's
// ServiceAccount, as a Pod of the operator's has it.
func (s *Server) ManagerKubeconfig(ctx context.Context, path string) error {
	return s.Kubeconfig(ctx, ManagerServiceAccount, path)
}

// Kubeconfig writes a kubeconfig whose only credential is a token of a ServiceAccount in the operator's
// namespace.
func (s *Server) Kubeconfig(ctx context.Context, serviceAccount, path string) error {
	token, err := s.Token(ctx, OperatorNamespace, serviceAccount)
	if err != nil {
		return err
	}
	const name = "envtest"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{
		Server: s.env.Config.Host, CertificateAuthorityData: s.env.Config.CAData,
	}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: OperatorNamespace}
	kubeconfig.CurrentContext = name
	return clientcmd.WriteToFile(*kubeconfig, path)
}
