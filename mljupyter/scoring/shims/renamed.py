"""Aliases for scikit-learn modules that moved in 0.20 or became private in 0.22 to 0.24, for pickles and scripts."""

from __future__ import annotations

_PRIVATE = """
cluster: affinity_propagation_ bicluster birch dbscan_ mean_shift_ optics_ spectral
covariance: elliptic_envelope empirical_covariance_ graph_lasso_ robust_covariance shrunk_covariance_
cross_decomposition: cca_=_pls pls_
decomposition: base cdnmf_fast dict_learning factor_analysis fastica_ incremental_pca kernel_pca nmf online_lda=_lda
decomposition: online_lda_fast pca sparse_pca truncated_svd
ensemble: bagging base forest gradient_boosting=_gb iforest voting voting_classifier=_voting weight_boosting
feature_extraction: dict_vectorizer hashing=_hash stop_words
feature_selection: base from_model mutual_info_ rfe univariate_selection variance_threshold
gaussian_process: gpc gpr
inspection: permutation_importance partial_dependence
linear_model: base bayes cd_fast coordinate_descent huber least_angle logistic omp passive_aggressive perceptron
linear_model: ransac ridge sag sag_fast sgd_fast stochastic_gradient theil_sen
manifold: isomap locally_linear mds spectral_embedding_ t_sne
metrics: base classification ranking regression scorer
metrics.cluster: bicluster supervised unsupervised
mixture: base bayesian_mixture gaussian_mixture
neighbors: ball_tree base classification graph kd_tree kde lof nca nearest_centroid quad_tree regression unsupervised
neural_network: multilayer_perceptron rbm stochastic_optimizers base
preprocessing: data label
semi_supervised: label_propagation
svm: base bounds classes liblinear libsvm libsvm_sparse
tree: export tree=_classes
utils: fast_dict mocking seq_dataset weight_vector testing
"""

_ELSEWHERE = {
    "sklearn.cross_validation": ("sklearn.model_selection",),
    "sklearn.grid_search": ("sklearn.model_selection",),
    "sklearn.learning_curve": ("sklearn.model_selection",),
    "sklearn.cluster.hierarchical": ("sklearn.cluster._agglomerative", "sklearn.cluster._hierarchical"),
    "sklearn.cluster.k_means_": ("sklearn.cluster._kmeans", "sklearn.cluster._k_means"),
    "sklearn.linear_model.passive_aggressive": (
        "sklearn.linear_model._passive_aggressive",
        "sklearn.linear_model._stochastic_gradient",
    ),
    "sklearn.neighbors.dist_metrics": ("sklearn.metrics._dist_metrics", "sklearn.neighbors._dist_metrics"),
    "sklearn.neighbors.typedefs": ("sklearn.utils._typedefs", "sklearn.neighbors._typedefs"),
    "sklearn.ensemble.partial_dependence": ("sklearn.inspection._partial_dependence",),
    "sklearn.metrics.pairwise_fast": ("sklearn.metrics._pairwise_fast",),
    "sklearn.preprocessing.imputation": ("sklearn.impute._base",),
}


def _table() -> dict[str, tuple[str, ...]]:
    table: dict[str, tuple[str, ...]] = {}
    for line in _PRIVATE.strip().splitlines():
        package, _, modules = line.partition(":")
        for entry in modules.split():
            old, _, new = entry.partition("=")
            table[f"sklearn.{package}.{old}"] = (f"sklearn.{package}.{new or '_' + old.rstrip('_')}",)
    return table | _ELSEWHERE


_TABLE = _table()


def successors(name: str) -> tuple[str, ...]:
    """Return the present names of an old module, the likeliest first; empty when it was not renamed."""
    return _TABLE.get(name, ())
