import os, socket, sys
d=sys.argv[1]
p=f"{d}/np/np/atsvc"
s=socket.socket(socket.AF_UNIX); s.bind(p); s.listen(100)
while True:
    c,_=s.accept()
    data=c.recv(65536)
    print(data.hex(),flush=True)
    c.close()
