-- POST /reviews of random products of 1 to PRODUCTS.
local products = tonumber(os.getenv("PRODUCTS") or "1000011")
local review = '{"product_id":%d,"rating":%d,"summary":"Quite warm for what it is",'
  .. '"body":"Two weeks of rain and wind, and it has not let me down once.","recommend":true,'
  .. '"name":"pinecone","email":"pinecone@example.org","photos":[],"characteristics":{}}'
math.randomseed(os.time())
wrk.headers["Content-Type"] = "application/json"
request = function()
  local body = review:format(math.random(1, products), math.random(1, 5))
  return wrk.format("POST", "/reviews", nil, body)
end
