# A public copy of the app: no training, import or deleting. README, "Serve it to a class".
FROM python:3.12-slim

WORKDIR /app
COPY requirements.txt .
# torch and torchvision for the CPU first: those of the usual index bring CUDA, some GB of it.
RUN grep -E '^torch(vision)?==' requirements.txt > torch.txt \
    && pip install --no-cache-dir -r torch.txt --index-url https://download.pytorch.org/whl/cpu \
    && pip install --no-cache-dir -r requirements.txt
COPY . .
# Everything that is ever written lies in /data; /tmp and the rest may be lost, or read-only.
RUN useradd --uid 10001 --no-create-home visitor && mkdir /data && chown visitor /data

ENV PIXELCNN_PUBLIC=1 PIXELCNN_RUNS=/data/runs PIXELCNN_DATA=/data/sets HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=3)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true", "--server.maxUploadSize=2"]
