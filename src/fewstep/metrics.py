"""Quality measures (being written). Signatures:

    load_classifier(name="digits") -> Classifier          recorded weights, ``results/weights/<name>-classifier.safetensors``
    features(images, extractor) -> (N, D)                 images: (N, C, H, W) in [-1, 1], uint8, or data.Images
    fd_c(samples, reference, classifier) -> float         reference: images, or what ``features`` returned (cached)
    fid(samples, reference) -> float                      Inception-v3, 2048 features
    kid(samples, reference, extractor) -> (mean, std)
    precision_recall(samples, reference, extractor) -> (precision, recall)
    ms_ssim(samples, pairs=1000, seed=0) -> float
    floor(pool, n, extractor, seeds=5) -> (mean, std)     FD between disjoint random halves of real data, n pictures each
"""
